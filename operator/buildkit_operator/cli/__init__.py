"""The subcommands that people run: what they print, and the status that they end with."""
