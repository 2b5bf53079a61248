"""Agencies, and the time for which each key is valid: a fold of the signed topic ``nrm.directory``."""

from nrmbus.directory.checkpoints import Published
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import Entry
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.fold import RUNNING, SERVICES
from nrmbus.directory.keys import LogKeys
from nrmbus.directory.operator import Identity, LogIdentity, Operator, operator_key
from nrmbus.directory.reader import DirectoryReader

__all__ = [
    "RUNNING",
    "SERVICES",
    "Directory",
    "DirectoryError",
    "DirectoryReader",
    "Entry",
    "Identity",
    "LogIdentity",
    "LogKeys",
    "Operator",
    "Published",
    "operator_key",
]
