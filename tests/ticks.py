"""A clock that goes by looks: how long a training may last is tested without waiting."""


class Ticks:
    """Stands for the module time: each look at the clock, and so each step, takes as long."""

    def __init__(self, seconds=1.0):
        self.seconds = seconds
        self.now = 0.0

    def monotonic(self):
        self.now += self.seconds
        return self.now
