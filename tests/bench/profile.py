"""Reads a file that callgrind wrote: how many instructions there were, and where."""

import re

NAME = re.compile(r"^(fl|fi|fe|fn|cfn|cfi|cfl)=\((\d+)\)(?: (.*))?$")


class Count:
    """Instructions by function."""

    def __init__(self, path):
        self.functions = {}
        names, function, inner = {}, None, False
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                found = NAME.match(line)
                if found:
                    kind, number, name = found.groups()
                    if kind.endswith("fn"):
                        # A name is written in full only once.
                        names.setdefault(number, name)
                        function = names[number] if kind == "fn" else function
                elif line.startswith("calls="):
                    # The next line is what the call cost, which the called function tells itself.
                    inner = True
                elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
                    if not inner:
                        cost = int(line.split()[1])
                        self.functions[function] = self.functions.get(function, 0) + cost
                    inner = False

    def total(self):
        """All of them."""
        return sum(self.functions.values())

    def told(self, requests):
        """Each function's own instructions for one request, most first."""
        ordered = sorted(self.functions.items(), key=lambda item: -item[1])
        return "".join(f"{cost / requests:9,.0f}  {name}\n" for name, cost in ordered if cost / requests >= 1)
