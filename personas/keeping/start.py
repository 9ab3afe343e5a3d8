"""Starts a keeper or a warden: `python -I -S start.py keeper`, so that neither team_mail nor `site` is imported.

Their modules form a package made here, which holds only this folder.
"""

import sys

if __name__ == "__main__":
    package = type(sys)("keeping")
    package.__path__ = [__file__.rpartition("/")[0]]
    sys.modules["keeping"] = package
    __import__("keeping." + sys.argv[1], fromlist=["main"]).main()
