"""The pages of an agency's people, in the desk's process under ``/app``."""
