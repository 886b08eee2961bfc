"""A window of GTK 4 with one text entry: what the entry holds is written to the file named first, after
every change."""

import sys

import gi

gi.require_version("Gtk", "4.0")
from gi.repository import Gtk  # noqa: E402 the version has to be said before


def show(app):
    entry = Gtk.Entry()
    entry.connect("changed", lambda entry: write(entry.get_text()))
    window = Gtk.ApplicationWindow(application=app, child=entry)
    # The file exists once the entry receives keys.
    window.connect("notify::is-active", lambda *_: write(entry.get_text()))
    window.present()
    entry.grab_focus()


def write(text):
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(text)


app = Gtk.Application()
app.connect("activate", show)
app.run([])
