"""One file a mechanism, named as it is registered. Import none of them here: `build` imports the one that it needs."""
