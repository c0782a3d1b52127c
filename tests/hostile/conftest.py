"""The cases are imported by the test, once; collecting them for doctests would declare their operators twice."""

collect_ignore_glob = ["cases/*"]
