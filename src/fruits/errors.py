"""The two ways a command ends badly; both are one line that names the value and the way out."""


class FruitsError(Exception):
    """The work could not be done: exit status 1."""


class SettingError(FruitsError):
    """A setting is wrong, found before any work: exit status 2."""
