"""Where outputs go: stdout, files, directories, object stores."""
