"""Who is an agency, and which key was valid when: a fold of the signed topic ``nrm.directory``."""

from nrmbus.directory.directory import Directory, DirectoryError, Entry, LogKeys
from nrmbus.directory.operator import SERVICES, Identity, LogIdentity, Operator, operator_key
from nrmbus.directory.reader import DirectoryReader

__all__ = [
    "SERVICES",
    "Directory",
    "DirectoryError",
    "DirectoryReader",
    "Entry",
    "Identity",
    "LogIdentity",
    "LogKeys",
    "Operator",
    "operator_key",
]
