"""Who hears of a run and shows it: the tally, the progress line, the log, the summary."""
