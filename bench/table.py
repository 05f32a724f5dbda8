"""Tables in Markdown: readable in a terminal, ready to be pasted into README.md."""


def show(rows, left=(0,)):
    """The first row is the heading; columns are flush right but for those named in `left`."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(row):
        cells = [cell.ljust(w) if i in left else cell.rjust(w)
                 for i, (cell, w) in enumerate(zip(row, widths))]
        return "| " + " | ".join(cells) + " |"

    print(line(rows[0]))
    print("|" + "|".join("-" * (w + 1) + ("-" if i in left else ":")
                         for i, w in enumerate(widths)) + "|")
    for row in rows[1:]:
        print(line(row))


def without_empty_columns(rows):
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows]
