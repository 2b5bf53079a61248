"""The languages whose programs the page on clients has; those that are not installed judge nothing, and the head of a run says so."""

import shutil

RUNS = {
    "sh": [["sh", "program"]],
    "js": [["node", "program.mjs"]],
    "php": [["php", "program"]],
    "csharp": [
        ["mcs", "-langversion:latest", "-r:System.Net.Http", "-out:program.exe", "program"],
        ["mono", "program.exe"],
    ],
}
"""By language: the commands that run a program in the file ``program``."""
COMES_WITH = {
    "sh": "curl",
    "js": "nodejs",
    "php": "php-cli php-curl",
    "csharp": "mono-mcs mono-runtime libmono-system-net-http4.0-cil",
}
"""By language: the packages of Debian and Ubuntu that have its commands."""


def installed() -> list[str]:
    """Return the languages whose commands are here."""
    return [language for language in RUNS if not _without(language)]


def missing() -> list[str]:
    """Return one line for each language that is not installed, with what to install."""
    return [
        f"{', '.join(without)} (not installed): no program in {language} is run; apt-get install {COMES_WITH[language]}"
        for language in RUNS
        if (without := _without(language))
    ]


def _without(language: str) -> list[str]:
    wanted = {each[0] for each in RUNS[language]} | ({"curl"} if language == "sh" else set())
    return sorted(each for each in wanted if shutil.which(each) is None)
