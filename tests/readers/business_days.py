"""Second calendar: for each one on stdin, one JSON object per line, prints every day of the years as the library
`holidays` knows it: the date, whether it is a working day, and the last of the working days that follow it."""

import json
import sys
from datetime import date, timedelta

import holidays

SWITCHES = {"carnival": "Carnaval", "ash_wednesday": "Quarta-feira de Cinzas", "corpus_christi": "Corpus Christi"}

for line in sys.stdin:
    asked = json.loads(line)
    first, last = asked["years"]
    # Due dates of the last days are in the next year.
    years = range(first, last + 2)
    known = holidays.country_holidays("BR", subdiv=asked["state"] or None, years=years, language="pt_BR")
    optional = holidays.country_holidays("BR", years=years, categories=("optional",), language="pt_BR")
    on = {name for switch, name in SWITCHES.items() if asked[switch]}
    known.update({day: name for day, name in optional.items() if name in on})
    day, days = date(first, 1, 1), []
    while day.year <= last:
        due = known.get_nth_working_day(day, asked["count"])
        days.append([day.isoformat(), known.is_working_day(day), due.isoformat()])
        day += timedelta(days=1)
    print(json.dumps(days), flush=True)
