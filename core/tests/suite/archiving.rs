//! Old rows of the audit in files of their own.

use std::{fs, os::unix::fs::PermissionsExt as _};

use chatcode_audit::{FileCheck, Line};
use chatcode_core::upkeep::archive_before;
use chatcode_proto::pb::{AuditExportRequest, AuditVerifyRequest, Code, MemberKind};

use crate::{
    auditing::{audit, check, exported, rows, store_file, tamper},
    common::{TestCore, code},
};

#[tokio::test]
async fn old_rows_move_into_a_signed_file_and_the_chain_goes_on_behind_them() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let identity = core.enroll(MemberKind::Admin, "auditor").await;
    let before = exported(&admin, 0).await;
    let mut store = store_file(&core).await;
    let refused = sqlx::query("DELETE FROM audit WHERE number = 1").execute(&mut store).await;
    assert!(refused.is_err(), "a row that no archive has stays");

    let all = chatcode_core::clock::unix_ms() + 1;
    let file = archive_before(&core.shared, all).await.unwrap().expect("there are old rows");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let archive: Vec<Line> = text.lines().map(|line| Line::of_text(line).unwrap()).collect();
    let last = rows(&archive).last().unwrap().number;
    let act = core.audited(|row| row.action == "audit.archived").await;
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(act.detail.contains(name) && act.detail.contains("SHA-256"), "{}", act.detail);
    assert!(core.audit().await.iter().all(|row| row.number > last));
    for sql in ["DELETE FROM audit WHERE number > 0", "UPDATE audit SET detail = ''"] {
        assert!(sqlx::query(sql).execute(&mut store).await.is_err(), "{sql}");
    }

    let pin = || vec![core.shared.audit.key.public().pin()];
    let after = exported(&admin, 0).await;
    assert_eq!(rows(&after)[0].number, last + 1);
    let found = check(FileCheck::new(pin()), &[archive.clone(), after.clone()]).unwrap();
    assert_eq!(found.first, 1);
    // What was exported before is the same as what is in the archive.
    let count = rows(&archive).len();
    assert_eq!(rows(&before)[..count], rows(&archive));
    let gone = AuditExportRequest { from_number: 2, filter: None };
    assert_eq!(code(&audit(&admin).export(gone).await.unwrap_err()), Code::Invalid);
    let whole = audit(&admin).verify(AuditVerifyRequest::default()).await.unwrap().into_inner();
    assert_eq!((whole.first, whole.broken), (last + 1, 0));

    let core = TestCore::start_in(core.stop().await).await;
    let admin = core.channel(&identity);
    let whole = audit(&admin).verify(AuditVerifyRequest::default()).await.unwrap().into_inner();
    assert_eq!((whole.first, whole.broken), (last + 1, 0));
    let again = exported(&admin, 0).await;
    let pin = vec![core.shared.audit.key.public().pin()];
    check(FileCheck::new(pin), &[archive, again]).unwrap();
}

#[tokio::test]
async fn a_broken_chain_is_not_archived() {
    let core = TestCore::start().await;
    core.admin().await;
    let path = core.folder.path().join("core/core.db");
    tamper(&path, "UPDATE audit SET detail = 'x' WHERE number = 2").await;
    let refused = archive_before(&core.shared, chatcode_core::clock::unix_ms() + 1).await.unwrap_err();
    assert!(refused.to_string().contains("row 2"), "{refused}");
    assert!(core.audit().await.iter().any(|row| row.number == 1), "all rows are where they were");
}
