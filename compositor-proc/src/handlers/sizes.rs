//! Sizes that apps name, looked at before Smithay takes them for sizes: it would keep negative ones, with which
//! nothing can be computed, and asserts in debug builds that there are none.
//!
//! Where a protocol calls a size an error, naming it is one. Elsewhere a rectangle of negative size is empty, and
//! the request does nothing.

use std::any::Any;

use smithay::reexports::{
    wayland_protocols::xdg::shell::server::{xdg_positioner, xdg_surface, xdg_toplevel},
    wayland_protocols_wlr::layer_shell::v1::server::zwlr_layer_surface_v1,
    wayland_server::protocol::{wl_region, wl_surface},
};

/// Farther than this from anything a popup is on no screen.
const FARTHEST: i32 = 1 << 20;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Smithay carries it out.
    Passes,
    /// It does nothing.
    Nothing,
    /// It is the protocol's error of this code.
    Wrong(u32),
}

/// Looks at the size in a request, if there is one.
pub(super) fn judge(request: &dyn Any) -> Verdict {
    if let Some(request) = request.downcast_ref() {
        surface(request)
    } else if let Some(request) = request.downcast_ref() {
        region(request)
    } else if let Some(request) = request.downcast_ref() {
        window(request)
    } else if let Some(request) = request.downcast_ref() {
        toplevel(request)
    } else if let Some(request) = request.downcast_ref() {
        popup(request)
    } else if let Some(request) = request.downcast_ref() {
        layer(request)
    } else {
        Verdict::Passes
    }
}

const fn surface(request: &wl_surface::Request) -> Verdict {
    match request {
        wl_surface::Request::Damage { width, height, .. }
        | wl_surface::Request::DamageBuffer { width, height, .. } => rectangle(*width, *height),
        _ => Verdict::Passes,
    }
}

const fn region(request: &wl_region::Request) -> Verdict {
    match request {
        wl_region::Request::Add { width, height, .. }
        | wl_region::Request::Subtract { width, height, .. } => rectangle(*width, *height),
        _ => Verdict::Passes,
    }
}

const fn rectangle(width: i32, height: i32) -> Verdict {
    if width < 0 || height < 0 { Verdict::Nothing } else { Verdict::Passes }
}

/// `xdg_surface.set_window_geometry`: width and height must be greater than zero.
const fn window(request: &xdg_surface::Request) -> Verdict {
    match request {
        xdg_surface::Request::SetWindowGeometry { width, height, .. }
            if *width < 1 || *height < 1 =>
        {
            Verdict::Wrong(xdg_surface::Error::InvalidSize as u32)
        }
        _ => Verdict::Passes,
    }
}

/// `xdg_toplevel.set_max_size` and `set_min_size`: zero means that there is no limit.
const fn toplevel(request: &xdg_toplevel::Request) -> Verdict {
    match request {
        xdg_toplevel::Request::SetMaxSize { width, height }
        | xdg_toplevel::Request::SetMinSize { width, height }
            if *width < 0 || *height < 0 =>
        {
            Verdict::Wrong(xdg_toplevel::Error::InvalidSize as u32)
        }
        _ => Verdict::Passes,
    }
}

/// Places and sizes of popups. Smithay adds them up, so that none may be as large as no screen is.
const fn popup(request: &xdg_positioner::Request) -> Verdict {
    let numbers = match request {
        xdg_positioner::Request::SetParentSize { parent_width, parent_height } => {
            [0, 0, *parent_width, *parent_height]
        }
        xdg_positioner::Request::SetSize { width, height } => [0, 0, *width, *height],
        xdg_positioner::Request::SetAnchorRect { x, y, width, height } => [*x, *y, *width, *height],
        xdg_positioner::Request::SetOffset { x, y } => [*x, *y, 0, 0],
        _ => return Verdict::Passes,
    };
    let [x, y, width, height] = numbers;
    let is_place = -FARTHEST < x && x < FARTHEST && -FARTHEST < y && y < FARTHEST;
    let is_size = 0 <= width && width < FARTHEST && 0 <= height && height < FARTHEST;
    if is_place && is_size {
        Verdict::Passes
    } else {
        Verdict::Wrong(xdg_positioner::Error::InvalidInput as u32)
    }
}

/// `zwlr_layer_surface_v1.set_size`, of unsigned numbers.
const fn layer(request: &zwlr_layer_surface_v1::Request) -> Verdict {
    const MOST: u32 = i32::MAX as u32;
    match request {
        zwlr_layer_surface_v1::Request::SetSize { width, height }
            if *width > MOST || *height > MOST =>
        {
            Verdict::Wrong(zwlr_layer_surface_v1::Error::InvalidSize as u32)
        }
        _ => Verdict::Passes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_none_are_stopped() {
        let damage = |width, height| wl_surface::Request::Damage { x: 0, y: 0, width, height };
        assert_eq!(judge(&damage(1, -1)), Verdict::Nothing);
        assert_eq!(judge(&damage(0, i32::MAX)), Verdict::Passes);
        let pixels = wl_surface::Request::DamageBuffer { x: 0, y: 0, width: i32::MIN, height: 1 };
        assert_eq!(judge(&pixels), Verdict::Nothing);
        let add = |width| wl_region::Request::Add { x: 0, y: 0, width, height: 1 };
        assert_eq!(judge(&add(-1)), Verdict::Nothing);
        assert_eq!(judge(&add(1)), Verdict::Passes);
        let parent =
            xdg_positioner::Request::SetParentSize { parent_width: 64, parent_height: -1280 };
        assert_eq!(judge(&parent), Verdict::Wrong(0));
        let offset = |x| xdg_positioner::Request::SetOffset { x, y: 0 };
        assert_eq!(judge(&offset(i32::MIN)), Verdict::Wrong(0));
        assert_eq!(judge(&offset(-400)), Verdict::Passes);
        let subtract = wl_region::Request::Subtract { x: 0, y: 0, width: 1, height: -1 };
        assert_eq!(judge(&subtract), Verdict::Nothing);
    }

    #[test]
    fn windows_of_no_size_are_errors_of_their_protocols() {
        let geometry =
            |width| xdg_surface::Request::SetWindowGeometry { x: 0, y: 0, width, height: 1 };
        assert_eq!(judge(&geometry(0)), Verdict::Wrong(5));
        assert_eq!(judge(&geometry(1)), Verdict::Passes);
        let least = |height| xdg_toplevel::Request::SetMinSize { width: 0, height };
        assert_eq!(judge(&least(-1)), Verdict::Wrong(2));
        assert_eq!(judge(&least(0)), Verdict::Passes);
        let most = xdg_toplevel::Request::SetMaxSize { width: -1, height: 0 };
        assert_eq!(judge(&most), Verdict::Wrong(2));
        let layer = |width| zwlr_layer_surface_v1::Request::SetSize { width, height: 0 };
        assert_eq!(judge(&layer(1 << 31)), Verdict::Wrong(1));
        assert_eq!(judge(&layer(0)), Verdict::Passes);
    }

    #[test]
    fn requests_without_a_size_pass() {
        assert_eq!(judge(&wl_surface::Request::Commit), Verdict::Passes);
        assert_eq!(judge(&xdg_toplevel::Request::SetMaximized), Verdict::Passes);
    }
}
