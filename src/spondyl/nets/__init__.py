"""Networks as pure torch modules, one file each, with their sizes (`presets`) and their weights (`weights`)."""
