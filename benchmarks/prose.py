"""English-like prose without end: sentence frames whose slots are filled with words drawn at random."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

NOUNS = """account actor advice agent album anchor angle answer apple archive arrow author badge balcony banker barrel basket
battery beacon bench blanket border bottle branch bridge brush bucket builder button cabin cable camera candle canyon captain
carpet castle ceiling chapter charter cherry circle client closet cluster coach coast collar column comet contract corner
cotton counter cousin cradle cricket crystal curtain cushion customer dancer decade degree desert diagram dinner doctor donor
dragon drawer driver editor element engine envelope errand estate evening expert export factor farmer feather fellow fence
festival filter finger flavor forest fortune fountain frame friend funnel garage garden garment gesture glacier glove grain
guest guitar habit hammer harbor harvest heater helmet hermit hotel hunter insect island jacket journal journey judge jungle
kernel kettle kitchen ladder lantern lawyer leader ledger lemon lesson letter lever library limit lizard locker magnet
manager manner margin market marker meadow meeting member mentor merchant message method mirror model moment monitor morning
mountain museum neighbor network notebook number object officer onion opinion orchard order outlet packet painter palace
panel parcel parent partner pattern pencil pepper permit picture pillow pilot planet planner plaster player pocket poet
portal portrait powder present printer prison process product profile project pumpkin puzzle quarter question rabbit radar
ranger razor reader reason record region report rescue resident result ribbon river robot rocket runner sailor salad sample
scholar school season secret sector seller sensor server shadow shelter signal singer sister sketch soldier speaker spider
spring stable station statue student summer supper surface surgeon symbol tablet teacher temple tenant theater thread ticket
timber tower trader trailer trainer tunnel uncle vendor verdict village visitor volume voyage wagon waiter wallet window
winter witness worker writer zebra café façade résumé fiancé piñata soufflé"""
VERBS = """accept adjust answer approach arrange assist attach attract balance borrow bother carry challenge clean collect
combine compare complete concern confirm connect consider consult contain convert copy correct cover create damage declare
defend deliver demand deny depend describe deserve design destroy detect develop discover discuss display divide earn educate
employ enable encourage enjoy enter escape establish estimate evaluate examine exchange exclude expand expect explain explore
express extend fasten favor finish follow gather govern handle harvest identify ignore imagine impress improve include
increase influence inform inspect install involve isolate join justify launch maintain manage measure mention modify monitor
multiply neglect notice observe obtain offer operate order organize paint pardon perform permit persuade polish postpone
practice praise predict prepare present preserve pretend prevent process produce promise protect provide publish purchase
question realize receive recommend record recover reduce reflect refuse register reject release remain remember remind remove
rename repair repeat replace report request require rescue reserve resist resolve respect restore retain reveal reverse
review reward satisfy schedule search secure separate serve signal solve sponsor store strengthen study submit suggest supply
support surprise surround survey suspect test touch train transform translate trust unite update validate visit warn welcome
widen wonder"""
ADJECTIVES = """bare basic better big bitter bold brave brief bright broad broken busy calm careful cautious central certain
cheap cheerful civil clean clear clever close cloudy coarse cold common complete complex constant cool correct crowded curious
current daily damp dark dear decent deep delicate dense different difficult direct distant double dry dull durable faint fair
faithful familiar famous fancy fast fertile final fine firm flat flexible fluent foreign formal fragile free frequent fresh
friendly full general gentle genuine glad golden graceful grand grateful great green gross guilty handsome handy happy harsh
healthy heavy helpful hidden high hollow humble hungry joint junior keen kind large late lazy legal level light likely
limited liquid little lively local lonely long loose loud lovely loyal lucky major massive mature mild minor mobile modern
modest mutual narrow natural neat nervous noble noisy normal novel numerous pale partial patient peaceful perfect plain
pleasant polite poor popular practical precise pretty private prompt proper proud pure quick quiet random rapid rare raw
ready recent regular relevant remote rich rigid rough round rural safe scarce secret senior serious severe shallow sharp
shiny short shy silent silver similar simple sincere slight slow smart smooth sober soft solid special spicy stable steady
steep stiff strange strict strong subtle sudden suitable swift tender thick thin thorough tidy tight timid tiny total tough
tropical typical vague valid valuable vast visible vital vivid warm weak wealthy weekly wide wild wise wooden worthy"""
DOMAINS = """recipe oven dough sauce spice broth pastry stew marinade
flight luggage passport itinerary hostel ferry layover visa cruise
seedling compost hedge tulip pruner soil greenhouse trellis mulch
mortgage dividend pension budget savings loan interest portfolio deposit
vaccine symptom dosage allergy therapy fever clinic checkup posture
marathon goalkeeper stadium referee sprint trophy racket coach tournament
compiler database variable function thread server backup browser script
essay sonnet metaphor dialogue paragraph draft narrator plot stanza
violin chorus melody rhythm concert trumpet tempo orchestra chord
telescope orbit galaxy comet eclipse crater satellite asteroid nebula
molecule acid enzyme catalyst isotope crystal solvent polymer electron
senate ballot treaty statute mayor petition tariff census embassy
puppy leash kennel aquarium hamster saddle parrot litter collar
gearbox tyre brake exhaust clutch radiator bumper mileage wiper
drill plank hinge plaster socket wallpaper gutter varnish chisel
invoice refund warranty voucher shipment courier receipt coupon catalogue
interview salary overtime internship promotion resignation payroll manager colleague
equation fraction triangle theorem algebra integral polygon decimal matrix
glacier monsoon volcano delta plateau tide earthquake rainfall canyon
dynasty crusade fortress archive pharaoh cathedral armada revolution treaty"""
SYLLABLES = """Al Bar Bel Bran Cal Cor Dal Dor El Fal Gar Hal Har Ing Jor Kel Lan Lor Mar Mel Nor Or Pel Quin Ral Sel Tal Wes
beth burg dale den don field ford gate ham hurst land ley low mere mond more ness ridge shaw stead ton ville wick wood"""

# {n} noun, {p} plural, {a} adjective, {r} adverb, {v} verb and its forms {s} {d} {g}, {o} noun of the row's domain,
# {x} name, {q} number, {m} price, {t} date
PROMPTS = (
    "How should the {a} {n} {v} one {o} when {x} {s} every {a} {n}?",
    "Why do {a} {p} near {x} {v} the {o} so {r}, and which {n} {s} the {p}?",
    "Please explain to {x} how {p} {v} a {a} {o} {r} after {t}.",
    "Which {o} would {x} {v} for a {a} {n} that {s} {q} {p}?",
    "Write a {a} note to {x} about the {o} that {d} our {n} {r} on {t}.",
    "Is it {a} to {v} some {o} while {p} from {x} {v} {q} {a} {p}?",
    "Can {x} {v} {q} {a} {p} with one {o}, or does the {n} need {g}?",
    "Summarise for {x} what {d} between the {a} {o} and every {n} since {t}.",
    "My {n} from {x} costs {m}; does the {a} {o} {v} its {p}?",
    "List {q} {a} ways of {g} the {o} before {x} {s} our {p}.",
    "What makes {x} {v} the {a} {o} {r} instead of {g} {p}?",
    "Who {d} the {o} in {x}, and did {a} {p} {v} it {r}?",
    "Compare the {a} {o} with {q} {p} that {x} {d} {r}.",
    "Tell {x} when {a} {p} {v} the {o} and where {p} {v} {n} {p}.",
)
ANSWERS = (
    "The {a} {n} {s} the {o} because {x} {d} {q} {p} {r}.",
    "In {x} most {p} {v} their {o} {r}, and the {n} {s} {a} {p}.",
    "First {v} the {n}, then {v} every {a} {o} until {p} {v} {r}.",
    "On {t} the {n} {d} {x}, which {d} {a} {p} by {g}.",
    "It costs {m} to {v} a {a} {o}, while {p} in {x} {v} {q} {p}.",
    "Without {g} the {o}, {a} {p} would {v} {x} {r}.",
    "{x} {d} a {a} {n} that {s} {p} and {s} the {o} {r}.",
    "Most {p} {v} {r} once their {n} {s} the {a} {o} of {x}.",
    "About {q} {p} were {d} in {x} after the {o} {d} its {a} {n}.",
    "Do not {v} the {o} {r}; {g} {p} {s} a {a} {n} of {x}.",
    "When {x} {s} the {n}, {a} {p} {v} {q} {p} without {g}.",
    "A {a} {o} {r} {s} the {n}, so {x} may {v} {p} by {t}.",
    "Neither {p} nor {a} {p} {v} the {o}, as {x} {r} {d}.",
    "The {n} of {x} was {r} {d} for {m}, though its {o} {s} {p}.",
    "You could {v} {a} {p} to {x} and {v} one {o} {r}.",
    "Every {n} {d} {r} by {x} {s} the {o} that {p} {v}.",
    "Since {t}, {g} the {a} {o} {s} {q} {p} for {x}.",
    "This {n} {s} {x} {r}, yet {a} {p} {v} some {o}.",
    "{g} {p} {r} {s} the {n}, which is why {x} {d} {a} {p}.",
    "Some {a} {p} {v} {x}, others {v} the {o} and {d} {p}.",
)


class Prose:
    """An endless supply of prompts and answers, drawn at random in batches."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._streams = {slot: self._endless(words) for slot, words in _vocabulary().items()}
        self._domains = self._endless([self._frames(line.split()) for line in DOMAINS.splitlines()])
        self._lengths = self._endless([1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 5])

    def row(self) -> tuple[str, str]:
        """A prompt, and an answer of one to five sentences on the same domain."""
        prompts, answers = next(self._domains)
        sentences = [_filled(next(answers)) for _ in range(next(self._lengths))]
        return _filled(next(prompts)), " ".join(sentences)

    def sentence(self, frame: str) -> str:
        """A frame with its slots filled."""
        return _filled(self._compiled(frame, self._streams))

    def word(self) -> str:
        """A noun."""
        return next(self._streams["n"])

    def name(self) -> str:
        """A name of one word."""
        return next(self._streams["x"])

    def _frames(self, words: list[str]) -> tuple[Iterator[Any], Iterator[Any]]:
        """Prompts and answers on one domain."""
        streams = self._streams | {"o": self._endless(words)}
        prompts, answers = ([self._compiled(frame, streams) for frame in frames] for frames in (PROMPTS, ANSWERS))
        return self._endless(prompts), self._endless(answers)

    def _endless(self, values: list[Any]) -> Iterator[Any]:
        while True:
            yield from map(values.__getitem__, self._rng.integers(len(values), size=4096).tolist())

    @staticmethod
    def _compiled(frame: str, streams: dict[str, Iterator[str]]) -> tuple[str, list[Iterator[str]]]:
        """The frame with `%s` for its slots, and where each slot's words come from."""
        return re.sub(r"\{\w\}", "%s", frame), [streams[slot] for slot in re.findall(r"\{(\w)\}", frame)]


def _filled(frame: tuple[str, list[Iterator[str]]]) -> str:
    text, streams = frame
    text %= tuple(map(next, streams))
    return text[0].upper() + text[1:]


def _vocabulary() -> dict[str, list[str]]:
    """Slot -> the words that fill it: about 2,500 words, and 20,000 numbers, prices and dates."""
    nouns, verbs, adjectives = NOUNS.split(), VERBS.split(), ADJECTIVES.split()
    names = ["".join(syllables) for syllables in itertools.product(*(line.split() for line in SYLLABLES.splitlines()))]
    dates = [
        f"{day} {month} {year}" for day in range(1, 29) for month in ("March", "June", "October") for year in range(1990, 2026)
    ]
    dates += [f"{year}-{month:02}-{day:02}" for year in range(1990, 2026) for month in range(1, 13) for day in (3, 17, 28)]
    return {
        "n": nouns,
        "p": [_ending(noun, "s") for noun in nouns],
        "a": adjectives,
        "r": [_ending(adjective, "ly") for adjective in adjectives if not adjective.endswith("ly")],
        "v": verbs,
        "s": [_ending(verb, "s") for verb in verbs],
        "d": [_ending(verb, "ed") for verb in verbs],
        "g": [_ending(verb, "ing") for verb in verbs],
        "x": names,
        "q": [f"{number:,}" for number in range(2, 4000)],
        "m": [f"{sign}{amount:,}.{cents}" for sign in "$£€" for amount in range(3, 2500, 2) for cents in ("00", "50", "95")],
        "t": dates,
    }


def _ending(word: str, ending: str) -> str:
    """The regular English form: carries, carried, carrying, happily."""
    vowel_before_y = word[-2] in "aeiou"
    if word.endswith("y") and not vowel_before_y and ending != "ing":
        return word[:-1] + {"s": "ies", "ed": "ied", "ly": "ily"}[ending]
    if ending == "s":
        return word + ("es" if re.search(r"(s|x|z|ch|sh)$", word) else "s")
    if ending == "ly":
        return word[:-1] + "y" if word.endswith("le") else word + "ly"
    return word.removesuffix("e") + ending
