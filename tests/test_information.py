"""What is known of fruits: of every label of Fruits-360 and of the drawn set, in two languages, by the longest name."""

import csv
import re
from pathlib import Path

import pytest

from fruits.information import FIELDS, describe_fruit
from fruits.samples import LABELS as DRAWN

SOURCE = Path(__file__).parents[1] / "src" / "fruits"
FRUITS_360 = """
Apple Braeburn, Apple Crimson Snow, Apple Golden 1, Apple Golden 2, Apple Golden 3, Apple Granny Smith, Apple Pink
Lady, Apple Red 1, Apple Red 2, Apple Red 3, Apple Red Delicious, Apple Red Yellow 1, Apple Red Yellow 2, Apricot,
Avocado, Avocado ripe, Banana, Banana Lady Finger, Banana Red, Beetroot, Blueberry, Cactus fruit, Cantaloupe 1,
Cantaloupe 2, Carambula, Cauliflower, Cherry 1, Cherry 2, Cherry Rainier, Cherry Wax Black, Cherry Wax Red, Cherry Wax
Yellow, Chestnut, Clementine, Cocos, Corn, Corn Husk, Cucumber Ripe, Cucumber Ripe 2, Dates, Eggplant, Fig, Ginger
Root, Granadilla, Grape Blue, Grape Pink, Grape White, Grape White 2, Grape White 3, Grape White 4, Grapefruit Pink,
Grapefruit White, Guava, Hazelnut, Huckleberry, Kaki, Kiwi, Kohlrabi, Kumquats, Lemon, Lemon Meyer, Limes, Lychee,
Mandarine, Mango, Mango Red, Mangostan, Maracuja, Melon Piel de Sapo, Mulberry, Nectarine, Nectarine Flat, Nut Forest,
Nut Pecan, Onion Red, Onion Red Peeled, Onion White, Orange, Papaya, Passion Fruit, Peach, Peach 2, Peach Flat, Pear,
Pear 2, Pear Abate, Pear Forelle, Pear Kaiser, Pear Monster, Pear Red, Pear Stone, Pear Williams, Pepino, Pepper
Green, Pepper Orange, Pepper Red, Pepper Yellow, Physalis, Physalis with Husk, Pineapple, Pineapple Mini, Pitahaya
Red, Plum, Plum 2, Plum 3, Pomegranate, Pomelo Sweetie, Potato Red, Potato Red Washed, Potato Sweet, Potato White,
Quince, Rambutan, Raspberry, Redcurrant, Salak, Strawberry, Strawberry Wedge, Tamarillo, Tangelo, Tomato 1, Tomato 2,
Tomato 3, Tomato 4, Tomato Cherry Red, Tomato Heart, Tomato Maroon, Tomato Yellow, Tomato not Ripened, Walnut,
Watermelon
"""
LABELS = re.sub(r"\s+", " ", FRUITS_360.strip()).split(", ")


def rows(table):
    with (SOURCE / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_label_of_fruits_360_and_of_the_drawn_set_is_known_in_both_languages():
    assert len(LABELS) == len(set(LABELS)) == 131
    for label in (*LABELS, *DRAWN):
        told = describe_fruit(label)
        assert set(told) == set(FIELDS) and all(told.values()), label


@pytest.mark.parametrize(
    ("label", "botanical_name", "name_fr"),
    [
        ("Apple Braeburn", "Malus domestica 'Braeburn'", "pomme Braeburn"),
        ("Apple Red 3", "Malus domestica", "pomme rouge"),
        ("Apple Red Delicious", "Malus domestica 'Red Delicious'", "pomme Red Delicious"),
        ("Apple hit 1", "Malus domestica", "pomme"),  # of a later Fruits-360
        ("Potato Sweet", "Ipomoea batatas", "patate douce"),
        ("Nut Pecan", "Carya illinoinensis", "noix de pécan"),
        ("Cherry Wax Red", "Prunus avium", "cerise rouge"),
        ("Melon Piel de Sapo", "Cucumis melo (Inodorus Group)", "melon vert d'Espagne"),
    ],
)
def test_the_longest_name_wins(label, botanical_name, name_fr):
    told = describe_fruit(label)
    assert (told["botanical_name"], told["name_fr"]) == (botanical_name, name_fr)


@pytest.mark.parametrize("label", ["Applewood", "Fruit 1", "", "apple", "Nut"])
def test_a_label_that_begins_like_no_species_is_not_known(label):
    assert describe_fruit(label) is None


def test_seasons_are_written_as_people_say_them():
    kiwi, banana, cherry = (describe_fruit(label) for label in ("Kiwi", "Banana", "Cherry 2"))
    assert (kiwi["season_en"], kiwi["season_fr"]) == ("from France, November to May", "de France, novembre à mai")
    assert (banana["season_en"], banana["season_fr"]) == ("imported, all year", "d'importation, toute l'année")
    assert (cherry["season_en"], cherry["season_fr"]) == ("from France, May to July", "de France, mai à juillet")


def test_the_tables_are_tidy():
    species, storage = rows("species"), rows("storage")
    assert [row["label"] for row in species] == sorted({row["label"] for row in species})
    assert [row["storage"] for row in storage] == sorted({row["storage"] for row in storage})
    assert {row["storage"] for row in species} == {row["storage"] for row in storage}
    for row in species:
        first, last = map(int, row["months"].split("-"))
        assert 1 <= first <= 12 and 1 <= last <= 12 and row["origin"] in ("france", "import"), row
        assert None not in row and None not in row.values() and all(value == value.strip() for value in row.values())
        assert re.match(r"[A-Z][a-z]+ ", row["botanical_name"]), row
