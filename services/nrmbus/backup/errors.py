"""Reasons why a backup is not written, not removed, not believed or not restored: one code each, with what to do."""

from typing import Final, Literal

from nrmbus.bus.errors import BusError

BackupCode = Literal[
    "no_backup", "busy", "disk_full", "not_written", "not_removed", "manifest_unreadable", "format_unknown", "signature_invalid",
    "file_missing", "file_cut", "file_altered", "file_unreadable", "record_unreadable", "history_refused", "inbox_broken",
    "directory_refused", "root_differs", "bus_older", "other_bus", "other_kind", "folder_not_empty", "newer_here",
    "bus_running", "part_absent", "ledger_on_server", "cluster_not_empty", "offset_differs", "unsigned", "signer_unknown",
    "lost_here", "key_missing",
]  # fmt: skip

SENTENCES: Final[dict[BackupCode, str]] = {
    "no_backup": "There is no complete backup here, or none of this number: name the folder that nrmbus backup wrote, whose manifests/ has a file for each one. A backup that was cut off leaves no manifest, and is never restored.",
    "busy": "Another backup is being written here: wait until it has ended.",
    "disk_full": "The disk is full, so nothing was published, and what was complete before stays: free some space, or name a folder on another disk.",
    "not_written": "The folder cannot be written: see whether it exists and whose it is.",
    "not_removed": "This backup is complete, but an older one could not be read, or not every one that is due could be removed, and none may stay longer than 30 days: see whose the files of this folder are and whether the disk fails, and back up once more.",
    "lost_here": "This backup is complete, but a ledger or a key is gone since an earlier one, or a desk began a new ledger after a loss, or found its ledger altered. The earlier backup is named, and stays for its 30 days. End the desk, bring the file back from there with nrmbus restore DIR --part ledger --agency AGENCY, or --part keys, and start the desk. If the new ledger is to stay, mark the desk's task ledger_lost or ledger_altered as done.",
    "key_missing": "This private key is gone, so nothing was published, and every earlier backup stays: do not start anything that would make another key. End what runs, bring the key back with nrmbus restore DIR --part keys, then back up once more.",
    "manifest_unreadable": "The manifest of the newest backup cannot be read: it was altered or cut. Take an older one with --generation N, or another copy.",
    "format_unknown": "A later release wrote this backup: use that release.",
    "signature_invalid": "The manifest is not signed by the key that is expected: do not restore it; ask who could write to this folder.",
    "file_missing": "A file of the backup is missing: back up once more, which writes the file again if its original is still there; else take an older one with --generation N, or another copy.",
    "file_cut": "A file of the backup is shorter or longer than it was written: back up once more, which writes the file again if its original is still there; else take an older one with --generation N, or another copy.",
    "file_altered": "A file of the backup was altered: back up once more, which writes the file again if its original is still there; else take an older one with --generation N, or another copy.",
    "file_unreadable": "A file of the backup cannot be read: see whose it is, and whether the disk fails. Take another copy, or an older backup with --generation N; if the disk fails, back up to another one.",
    "record_unreadable": "A record of the backup cannot be read: take an older one with --generation N, or another copy.",
    "history_refused": "The history in the backup does not verify: do not restore it; take another copy, and call the auditor.",
    "inbox_broken": "An inbox in the backup lacks a delivery: do not restore it; take another copy.",
    "directory_refused": "The directory in the backup does not verify: do not restore it; take another copy, and call the auditor.",
    "root_differs": "The history in the backup is not the one whose checkpoint was published: do not restore it; take another copy, and call the auditor.",
    "bus_older": "The bus has less than the backup that is here already: it was restored from an older state, or lost records. Keep this folder as it is, and write to another one.",
    "other_bus": "This is the backup of another bus: name the right folder.",
    "other_kind": "This is a backup of another kind: one of a bus and one of an agency are kept in folders of their own, and a machine that joined takes a part from its own agency's backup alone.",
    "folder_not_empty": "A whole bus is restored into an empty folder only: name another one with --data DIR, or one part with --part.",
    "newer_here": "What is here is newer than the backup, and would be lost: look for a newer backup; or say --over-newer to lose it.",
    "bus_running": "Something runs in this folder, or another restore writes to it: end it first.",
    "part_absent": "The backup has nothing of this part, or of this agency: topics are in the backup of a bus alone, and an agency's backup has only its own folder.",
    "ledger_on_server": "A PostgreSQL server has this agency's ledger, which no backup of a folder has: restore the server's own backup, for example with pg_restore. Name another agency with --agency.",
    "cluster_not_empty": "The cluster has records of a bus already: restore to an empty one.",
    "offset_differs": "The broker put a record in another place than it had: see that nobody else writes there, and restore again.",
    "unsigned": "Nobody signed this backup: anybody who can write to this folder may have made it. The backup of a bus is always signed. Take an older one with --generation N; or add --signer none if this agency's backups are made without its key file and nobody else can write here.",
    "signer_unknown": "No key here vouches for the signature of this backup. If the agency's keys are here, name their key file with NRMBUS_KEY_FILE=FILE. Otherwise compare the key: keys/operator.pub on an agency's machine has the operator's, and nrmbus agency show AGENCY on another machine names an agency's signing key. If it is the same, add --signer KEY; if not, do not restore, and ask who can write to this folder.",
}  # fmt: skip


class BackupError(BusError):
    """Raised when a backup cannot be written, believed or restored; ``code`` is of the closed list `BackupCode`.

    *where* says of what: a generation, a file's name in the folder of the bus, or a partition and a number. Never content.
    """

    def __init__(self, code: BackupCode, where: str = "") -> None:
        super().__init__(f"{code}{f' ({where})' if where else ''}: {SENTENCES[code]}")
        self.code: BackupCode = code
        self.where = where
