"""`gream doctor`: whether an installation is able to train and to serve, and what to do where it is not."""
