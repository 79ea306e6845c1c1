//! Compiles `proto/` without a system `protoc`, and turns the rule of every
//! method into one table. A method without a rule fails the build.

use std::{env, fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, bail, ensure};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage as _, Value,
    prost_types::FileDescriptorSet,
};

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files: Vec<PathBuf> =
        fs::read_dir("proto/chatcode/v1")?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();

    // Only this form keeps custom options, and with them the rules.
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(&files)?;
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &descriptors)?;
    fs::write(out.join("rules.rs"), rules_table(&descriptors)?)?;

    let grpc = env::var_os("CARGO_FEATURE_GRPC").is_some();
    let set = FileDescriptorSet::decode(descriptors.as_slice())?;
    tonic_prost_build::configure()
        .bytes(".")
        .btree_map(".")
        .build_transport(false)
        .codec_path("crate::codec::SmallProstCodec")
        .build_client(grpc)
        .build_server(grpc)
        .compile_fds(set)?;
    Ok(())
}

/// The source of a table with one row per method.
fn rules_table(descriptors: &[u8]) -> anyhow::Result<String> {
    let pool = DescriptorPool::decode(descriptors)?;
    let mut rows = String::new();
    for service in pool.services().filter(|s| s.package_name() == "chatcode.v1") {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let row = rule_row(&pool, &method).with_context(|| format!("method {path}"))?;
            writeln!(rows, "    (\"{path}\", {row}),")?;
        }
    }
    Ok(format!("/// One row per method of the contract.\npub const RULES: &[(&str, Rule)] = &[\n{rows}];\n"))
}

fn rule_row(pool: &DescriptorPool, method: &MethodDescriptor) -> anyhow::Result<String> {
    let extension = pool
        .get_extension_by_name("chatcode.v1.rule")
        .context("the option chatcode.v1.rule is not in the schema")?;
    let options = method.options();
    ensure!(options.has_extension(&extension), "has no option (chatcode.v1.rule)");
    let value = options.get_extension(&extension);
    let Value::Message(rule) = value.as_ref() else { bail!("the rule is not a message") };
    Ok(format!(
        "Rule {{ permission: Permission::{}, audit: AuditPolicy::{}, scope: Scope::{}, step_up: {}, client_streaming: {}, server_streaming: {} }}",
        variant(rule, "permission", "PERMISSION_")?,
        variant(rule, "audit", "AUDIT_POLICY_")?,
        variant(rule, "scope", "SCOPE_")?,
        flag(rule, "step_up")?,
        method.is_client_streaming(),
        method.is_server_streaming(),
    ))
}

/// The value of a field that is true or false.
fn flag(rule: &DynamicMessage, field: &str) -> anyhow::Result<bool> {
    let descriptor = rule.descriptor().get_field_by_name(field).context("no such field")?;
    rule.get_field(&descriptor).as_bool().context("not a bool")
}

/// The Rust name of the value of an enum field; fails on the zero value.
fn variant(rule: &DynamicMessage, field: &str, prefix: &str) -> anyhow::Result<String> {
    let descriptor = rule.descriptor().get_field_by_name(field).context("no such field")?;
    let value = rule.get_field(&descriptor);
    let number = value.as_enum_number().context("not an enum")?;
    ensure!(number != 0, "its rule does not set `{field}`");
    let kind = descriptor.kind();
    let kind = kind.as_enum().context("not an enum")?;
    let name = kind.get_value(number).context("no such value")?.name().to_owned();
    let name = name.strip_prefix(prefix).context("unexpected prefix")?.to_owned();
    Ok(name.split('_').map(|word| word[..1].to_owned() + &word[1..].to_ascii_lowercase()).collect())
}
