//! `lumen-gateway`: the HTTP front door.
