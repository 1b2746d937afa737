"""What a person or a program is shown of a run: counters, log, progress, closing lines, summary, page.

Everything here takes plain figures and events. Nothing here decides anything, and a stderr that is
closed or full never changes how a run ends.
"""
