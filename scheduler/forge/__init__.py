"""The forge: sprints published as pull requests, and pull requests and issues taken as work.

Whatever comes from there is the text of strangers: escaped, cut, quoted, and without effect on who acts here.
"""
