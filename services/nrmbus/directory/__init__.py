"""Who is an agency, and which key was valid when: a fold of the signed topic ``nrm.directory``."""

from nrmbus.directory.directory import Directory, DirectoryError, Entry
from nrmbus.directory.operator import SERVICES, Identity, Operator, operator_key
from nrmbus.directory.reader import DirectoryReader

__all__ = [
    "SERVICES",
    "Directory",
    "DirectoryError",
    "DirectoryReader",
    "Entry",
    "Identity",
    "Operator",
    "operator_key",
]
