"""The exceptions of the package. Each message names the file, the frame where there is one, and the remedy."""


class BDD100KError(Exception):
    """What the user can mend; the command-line tools print its message without a traceback."""


class ConfigError(BDD100KError, ValueError):
    """A config that does not exist or holds an unknown key."""


class DataError(BDD100KError, ValueError):
    """A label file, picture or mask that cannot be used."""


class OutputError(BDD100KError, OSError):
    """An output file or folder that cannot be written."""


class WeightsError(BDD100KError, RuntimeError):
    """A checkpoint that is missing, unreadable or does not fit the model."""
