//! How the build script packs the page's modules. That a browser runs the result, the end-to-end tests
//! show; here is where each module lies, and what the build refuses to pack.

use std::collections::BTreeMap;

#[path = "../build/parts.rs"]
mod parts;

fn pack(modules: &[(&str, &str)]) -> Result<Vec<parts::Part>, String> {
    let sources: BTreeMap<_, _> =
        modules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    parts::pack(&sources, "page/main.js")
}

#[test]
fn module_lies_once_in_the_first_part_that_needs_it() {
    let packed = pack(&[
        (
            "page/main.js",
            "import { Keys } from '../core/held-keys.js';\nimport('./form.js').then(go);\n",
        ),
        (
            "page/form.js",
            "import { Keys as All } from '../core/held-keys.js';\nimport { b } from './b.js';\n",
        ),
        ("page/b.js", "export const b = 1;\n"),
        ("core/held-keys.js", "export class Keys {}\nexport async function press() {}\n"),
    ]);
    let packed = packed.expect("these can be packed");
    let texts: Vec<_> =
        packed.iter().map(|part| (part.path.as_str(), part.text.as_str())).collect();
    let main = "// core/held-keys.js\n\
                const core_held_keys = (() => {\n\
                class Keys {}\n\
                async function press() {}\n\
                return { Keys, press };\n\
                })();\n\
                // page/main.js\n\
                const page_main = (() => {\n\
                const { Keys } = core_held_keys;\n\
                import('../page/form.js').then((part) => part.page_form).then(go);\n\
                return {  };\n\
                })();\n\
                export { core_held_keys, page_main };\n";
    let form = "import { core_held_keys } from '../page/main.js';\n\
                // page/b.js\n\
                const page_b = (() => {\n\
                const b = 1;\n\
                return { b };\n\
                })();\n\
                // page/form.js\n\
                const page_form = (() => {\n\
                const { Keys: All } = core_held_keys;\n\
                const { b } = page_b;\n\
                return {  };\n\
                })();\n\
                export { page_b, page_form };\n";
    assert_eq!(texts, [("page/main.js", main), ("page/form.js", form)]);
}

#[test]
fn entry_s_later_imports_begin_parts_before_those_of_others() {
    let packed = pack(&[
        ("page/main.js", "import { a } from './a.js';\nconst c = () => import('./controls.js');\n"),
        ("page/a.js", "export const a = async () => (await import('./report.js')).lines();\n"),
        ("page/controls.js", "import { lines } from './report.js';\n"),
        ("page/report.js", "export function lines() {}\n"),
    ]);
    let packed = packed.expect("these can be packed");
    let paths: Vec<_> = packed.iter().map(|part| part.path.as_str()).collect();
    assert_eq!(paths, ["page/main.js", "page/controls.js"]);
    let later = "(await import('../page/controls.js').then((part) => part.page_report)).lines()";
    assert!(packed[0].text.contains(later), "{}", packed[0].text);
}

#[test]
fn what_is_imported_later_may_import_its_importer() {
    let packed = pack(&[
        ("page/main.js", "import { a } from './a.js';\n"),
        ("page/a.js", "export const a = () => import('./form.js');\n"),
        ("page/form.js", "import { a } from './a.js';\n"),
    ]);
    let packed = packed.expect("the importer is there already");
    assert!(packed[1].text.starts_with("import { page_a } from '../page/main.js';\n"));
}

#[test]
fn import_of_many_lines_is_one_and_types_in_comments_are_none() {
    let packed = pack(&[
        (
            "page/main.js",
            "import {\n  a,\n  b,\n} from './ab.js';\n/** @type {import('./gone.js').T} */\n * import('./gone.js')\n",
        ),
        ("page/ab.js", "export const a = 1;\nexport const b = 2;\n"),
    ]);
    let packed = packed.expect("these can be packed");
    assert_eq!(packed.len(), 1);
    assert!(packed[0].text.contains("const { a, b } = page_ab;\n"), "{}", packed[0].text);
}

#[test]
fn what_cannot_be_packed_is_named() {
    for (line, reason) in [
        (
            "export default class {}",
            "page/main.js: the build cannot pack `export default class {}`",
        ),
        ("export let a = 1;", "page/main.js: the build cannot pack `export let a = 1;`"),
        ("export { a };", "page/main.js: the build cannot pack `export { a };`"),
        (
            "import * as all from './a.js';",
            "page/main.js: the build cannot pack `import * as all from './a.js';`",
        ),
        (
            "import { a } from './a.js'",
            "page/main.js: the build cannot pack `import { a } from './a.js'`",
        ),
        ("import { a } from './a.js';", "there is no module page/a.js for page/main.js"),
        ("const a = import('./a.js');", "there is no module page/a.js for page/main.js"),
        ("import { a } from './main.js';", "page/main.js imports itself: page/main.js"),
    ] {
        let error = pack(&[("page/main.js", line)]).map(drop).expect_err(line);
        assert_eq!(error, reason);
    }
}
