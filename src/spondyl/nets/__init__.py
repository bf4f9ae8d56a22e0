"""Networks as pure torch modules, one file each; their sizes (`presets`) and their weights (`weights`)."""
