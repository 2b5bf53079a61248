"""Lines of the procedure about what others decide on a person who lives in the house."""

from nrmbus.desk.procedure.handoffs import referred_to_the_deciding_body
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.events.identification import ReasonableGroundsDecided, StatusDecided, StatusRevoked
from nrmbus.events.model import Data
from nrmbus.events.review import ReviewDecided, ReviewRequested
from nrmbus.events.safeguard import ReturnedToFamily
from nrmbus.shelter.state import State


@line(ReasonableGroundsDecided, StatusDecided, StatusRevoked, ReviewRequested, ReviewDecided)
def stay_on(said: Data, heard: Heard, _: State) -> Result | None:
    """19. A decision or a request for a review comes about a person who lives in the house: nobody is put out while a review may be asked for or is undecided (rule G-48), and support ends by a transition plan (rule G-58); a positive decision, and one on the review, are noted ([S35, S55], [D])."""
    is_review = isinstance(said, ReviewRequested | ReviewDecided)
    if heard.own or (referred_to_the_deciding_body(heard) and not is_review):
        return None
    if heard.view.negative != heard.event.id and not isinstance(said, ReviewRequested):
        return Result()
    sentence = "Put nobody out while a review may be asked for or is undecided. Support ends by a transition plan."
    return Result(tasks=(task(heard, "stay_on", sentence),))


@line(ReturnedToFamily)
def bring_home(_return: ReturnedToFamily, heard: Heard, _: State) -> Result | None:
    """21. A child of the house is with family again: the house records that the child has left, which frees the bed ([S8], [D])."""
    if not any(house.agency == heard.me and house.state == "admitted" for _, house in heard.view.houses()):
        return Result()
    return Result(
        tasks=(task(heard, "has_left", "The child is with family: record that the child has left the house."),)
    )
