"""The numbers of the report: what `bdd100k_d2.report` shows of a set of predictions, without any drawing."""
