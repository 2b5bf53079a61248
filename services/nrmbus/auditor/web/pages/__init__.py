"""The auditor's page: what `nrmbus replay` and `why` answer, for people, in three languages, made to be printed."""
