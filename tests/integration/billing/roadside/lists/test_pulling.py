"""A charger that asks for what is newer than it has, after it rejected a list."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.integration.billing.roadside.lists.conftest import DAY, World
from tests.integration.conftest import Bearer

LIST, ACK = "/v1/chargers/FJELL/status-list", "/v1/chargers/FJELL/status-list/tags/{}/acknowledgement"


class Puller:
    """FJELL: it asks with the version that it has, and says what it thinks of what came."""

    def __init__(self, client: FlaskClient, headers: dict[str, str]) -> None:
        self.client, self.headers = client, headers

    def since(self, version: int) -> tuple[int, str | None, str | None]:
        """The status of the answer, and which version came."""
        answer = self.client.get(f"{LIST}?since={version}", headers=self.headers)
        return answer.status_code, answer.headers.get("X-List-Version"), answer.headers.get("X-List-Kind")

    def says(self, version: int, accepted: bool) -> None:
        said = {"accepted": accepted} | ({} if accepted else {"reason": "line 2: unknown PAN"})
        assert self.client.post(ACK.format(version), json=said, headers=self.headers).status_code == 200


@pytest.fixture
def puller(world: World, client: FlaskClient, bearer: Bearer) -> Puller:
    """It has version 1, a full one; there is a change list after it."""
    made = Puller(client, bearer("charger", charger="FJELL"))
    world.take("pull")
    world.minute(full=True)
    made.says(1, accepted=True)
    world.block()
    world.minute()
    return made


def test_a_rejected_change_list_is_followed_by_the_full_one_that_heals_it(world: World, puller: Puller) -> None:
    assert puller.since(1) == (200, "2", "incremental")
    puller.says(2, accepted=False)
    assert puller.since(1) == (204, None, None)  # nothing that it could take, yet
    world.minute(full=True)
    assert puller.since(1) == (200, "3", "full")
    puller.says(3, accepted=True)
    assert puller.since(3) == (204, None, None)
    world.block("valid")
    world.minute()
    assert puller.since(3) == (200, "4", "incremental")


def test_who_goes_back_is_not_given_what_it_rejected(world: World, puller: Puller) -> None:
    puller.says(2, accepted=False)
    world.minute(full=True)
    puller.says(3, accepted=True)
    assert puller.since(1) == (200, "3", "full")


def test_a_rejected_full_list_is_not_given_again(world: World, puller: Puller) -> None:
    puller.says(2, accepted=True)
    world.at(world.now + 8 * DAY)
    world.minute(full=True)
    assert puller.since(2) == (200, "3", "full")
    puller.says(3, accepted=False)
    assert puller.since(2) == (204, None, None)
    assert puller.since(0) == (200, "1", "full")  # who has none begins with what was good, and goes on from there
    assert puller.client.get(f"{LIST}?version=3", headers=puller.headers).status_code == 200
    world.at(world.now + 8 * DAY)
    world.minute(full=True)
    assert puller.since(2) == (200, "4", "full")


def test_with_the_first_one_rejected_there_is_none_yet(world: World, client: FlaskClient, bearer: Bearer) -> None:
    puller = Puller(client, bearer("charger", charger="FJELL"))
    world.take("pull")
    world.minute(full=True)
    puller.says(1, accepted=False)
    assert puller.since(0) == (204, None, None)
    assert client.get(LIST, headers=puller.headers).status_code == 404
