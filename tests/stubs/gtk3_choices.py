"""A GTK 3 window that is one combo box. Prints when its list opens and closes, and what is chosen."""

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk

# Box and list have colours of their own, so that the picture tells when they are there to be clicked.
style = Gtk.CssProvider()
style.load_from_data(b"combobox button { background: #c02040; } menu, menu menuitem { background: #20c040; }")
Gtk.StyleContext.add_provider_for_screen(
    Gdk.Screen.get_default(), style, Gtk.STYLE_PROVIDER_PRIORITY_APPLICATION
)

box = Gtk.ComboBoxText()
for word in ("one", "two", "three", "four"):
    box.append_text(word)
box.set_active(0)
box.connect("notify::popup-shown", lambda box, _: print("list open", box.props.popup_shown, flush=True))
box.connect("changed", lambda box: print("chosen", box.get_active_text(), flush=True))

window = Gtk.Window(title="choices")
window.add(box)
window.show_all()
Gtk.main()
