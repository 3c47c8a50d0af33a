"""The commands, one a file; each file's function `command` is the command."""
