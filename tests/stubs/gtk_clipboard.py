"""A window of GTK 4 that copies and pastes: Ctrl+C copies what the file named first has, Ctrl+V pastes into the
file named second. With a third argument the window is small."""

import os
import sys

import gi

gi.require_version("Gdk", "4.0")
gi.require_version("Gtk", "4.0")
from gi.repository import Gdk, Gio, Gtk  # noqa: E402 the version has to be said before

COPIED, PASTED, *SMALL = sys.argv[1:]


def show(app):
    label = Gtk.Label(label="Copy and paste", width_request=200, height_request=60)
    keys = Gtk.EventControllerKey()
    keys.connect("key-pressed", pressed, label)
    # A compositor may make a resizable window as large as the screen.
    window = Gtk.ApplicationWindow(application=app, child=label, resizable=not SMALL)
    window.add_controller(keys)
    # The file exists once the window receives keys.
    window.connect("notify::is-active", lambda *_: write(b""))
    window.present()


def pressed(keys, value, code, state, widget):
    if not state & Gdk.ModifierType.CONTROL_MASK:
        return False
    clipboard = widget.get_clipboard()
    if value == Gdk.KEY_c:
        with open(COPIED, encoding="utf-8", newline="") as file:
            clipboard.set(file.read())
    elif value == Gdk.KEY_v:
        kinds = ["text/plain;charset=utf-8"]
        clipboard.read_async(kinds, 0, None, opened)
    return True


def opened(clipboard, result):
    stream, _ = clipboard.read_finish(result)
    target = Gio.MemoryOutputStream.new_resizable()
    flags = Gio.OutputStreamSpliceFlags.CLOSE_SOURCE | Gio.OutputStreamSpliceFlags.CLOSE_TARGET
    target.splice_async(stream, flags, 0, None, lambda target, done: pasted(target, done))


def pasted(target, result):
    target.splice_finish(result)
    write(target.steal_as_bytes().get_data() or b"")


def write(content):
    with open(PASTED + ".part", "wb") as file:
        file.write(content)
    os.replace(PASTED + ".part", PASTED)


app = Gtk.Application()
app.connect("activate", show)
app.run([])
