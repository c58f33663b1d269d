"""The models that the package builds: their table, sizes and downloads. ``python -m bdd100k_d2.zoo`` lists them."""
