"""Appliance categories and how long their appliances serve."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

from customers.reference import Category, appliances_in, list_categories, save_category
from web.access import READERS, Route
from web.api.contract import Ask, Body, call
from web.api.shapes import Page

ROUTES: list[Route] = []


class CategoryIn(Body):
    code: str = Field(min_length=1, max_length=60)
    name: str = Field(min_length=1, max_length=100)
    name_zh: str | None = Field(None, max_length=100)
    service_years: Decimal | None = Field(None, description="how long such an appliance serves; null: not known")
    source: str | None = Field(None, max_length=300, description="who says so")


class CategoryOut(BaseModel):
    code: str
    name: str
    name_zh: str | None
    service_years: Decimal | None
    source: str | None
    appliances: int


@call(ROUTES, "GET", "/appliance-categories", name="list_categories", answer=Page[CategoryOut], allow=READERS)
async def listing(ask: Ask) -> Any:
    """All categories, by code."""
    found = await list_categories(ask.conn)
    owned = await appliances_in(ask.conn, [one.code for one in found])
    return {"items": [{**vars(one), "appliances": owned[one.code]} for one in found], "next": None}


@call(ROUTES, "POST", "/appliance-categories", name="save_category", body=CategoryIn, answer=CategoryOut)
async def save(ask: Ask) -> Any:
    """Create or change a category by its code; the end of service life of its appliances follows."""
    category = Category(**ask.body.model_dump())
    await save_category(ask.conn, category)
    return {**vars(category), "appliances": (await appliances_in(ask.conn, [category.code]))[category.code]}
