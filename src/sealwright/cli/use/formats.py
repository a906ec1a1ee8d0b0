"""`sealwright formats`: the kinds of files that can be signed and verified."""

import click

from sealwright.cli.use.session import with_json

ACTIONS = ("sign", "verify", "show")


@click.command("formats")
@with_json
def command(*, as_json: bool) -> None:
    """List the file formats: name, scheme, suffixes, and what can be done with them."""
    from sealwright.formats import all_formats  # noqa: PLC0415 - `--help` does not need it

    known = [
        {
            "name": one.name,
            "title": one.title,
            "scheme": one.scheme,
            "suffixes": list(one.suffixes),
            "actions": list(ACTIONS),
        }
        for one in all_formats()
    ]
    if as_json:
        import json  # noqa: PLC0415 - text does not need it

        click.echo(json.dumps({"formats": known}, indent=2))
        return
    for entry in known:
        click.echo(f"{entry['name']}  {entry['title']}")
        click.echo(f"    suffixes  {' '.join(entry['suffixes'])}")
        click.echo(f"    scheme    {entry['scheme']}")
        click.echo(f"    actions   {' '.join(entry['actions'])}")
