"""A shelter: what it does by itself about its beds. One function per numbered line of ``README.md``."""

from typing import Final, cast

from nrmbus.desk.procedure import Heard, Line, Said, Settings, by_itself
from nrmbus.events import Admitted, BedOffered, BedRefused, BedRequested, Discharged, OfferLapsed
from nrmbus.events.model import Event, Frozen


class Bed(Frozen):
    """A bed of a *category* that is held for the person of one request, or *taken* by that person."""

    subject: str
    ref: str | None
    category: str
    taken: bool = False


class Book(Frozen):
    """How many places there are by category, and which beds are not free."""

    places: dict[str, int]
    beds: tuple[Bed, ...] = ()

    def free(self, category: str) -> int:
        """How many beds of *category* nobody has and nobody holds."""
        return self.places.get(category, 0) - sum(bed.category == category for bed in self.beds)

    def bed(self, event: Event) -> Bed | None:
        """The bed held or taken for the request that *event* is about."""
        return next((bed for bed in self.beds if (bed.subject, bed.ref) == (event.subject, event.referral)), None)

    def without(self, free: Bed | None) -> "Book":
        """The book with the bed *free* again."""
        return Book(places=self.places, beds=tuple(bed for bed in self.beds if bed != free))


def begin(settings: Settings) -> Book:
    """The book of a shelter with all its beds free."""
    return Book(places=settings.capacity)


def answer(heard: Heard, book: Book) -> Said | None:
    """1. Each bed request gets one answer: an offer while a bed of the category is free, else a refusal ([S3, S7], [D])."""
    category = _asked(heard)
    if category is None:
        return None
    data: BedOffered | BedRefused = BedRefused(reason="no_capacity")
    if book.bed(heard.event) or book.free(category) > 0:
        data = BedOffered(valid_hours=heard.rules.profile.periods.bed_offer_hours)
    return Said(drafts=(by_itself(heard, "bed-answer", data, ref=heard.event.referral),))


def hold(book: Book, heard: Heard) -> Book:
    """2. An offered bed is held from that moment and offered to nobody else; it stays so once the person has come ([D])."""
    bed, category = book.bed(heard.event), _asked(heard)
    if category is not None and bed is None and book.free(category) > 0:
        held = Bed(subject=heard.event.subject, ref=heard.event.referral, category=category)
        return Book(places=book.places, beds=(*book.beds, held))
    if heard.own and isinstance(heard.event.data, Admitted) and bed is not None:
        taken = Bed(subject=bed.subject, ref=bed.ref, category=bed.category, taken=True)
        return Book(places=book.places, beds=(*book.without(bed).beds, taken))
    return book


def release(book: Book, heard: Heard) -> Book:
    """3. A bed is free again when its offer lapses, and when the person has left the house ([S7], [D])."""
    data = heard.event.data
    if (isinstance(data, OfferLapsed) and data.shelter == heard.me) or (heard.own and isinstance(data, Discharged)):
        return book.without(book.bed(heard.event))
    return book


def keep(book: Book, heard: Heard) -> Book:
    """The beds after *heard*."""
    return release(hold(book, heard), heard)


def take_back(book: Book, refused: Event) -> Book:
    """An offer that the registrar refused holds no bed."""
    return book.without(book.bed(refused)) if isinstance(refused.data, BedOffered) else book


def _asked(heard: Heard) -> str | None:
    """The category of bed that this shelter was asked for; None where it was not asked, or cannot read for which."""
    data = heard.event.data
    if heard.own or not isinstance(data, BedRequested) or heard.me not in data.to:
        return None
    return cast("str | None", heard.letter.get("category"))


LINES: Final[tuple[Line[Book], ...]] = (answer,)
