"""The version of the program; the package's own metadata is made from it."""

VERSION = "2.0.0"
