"""``python -m bdd100k_d2.zoo``."""

from .page import main

raise SystemExit(main())
