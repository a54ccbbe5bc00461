"""The page to mail: the questions of the thread, each with figures, from the results folders that there are."""
