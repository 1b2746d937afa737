"""Every fault that users of such tools report, by the class behind it; the number is that of its line.

| line | what | where else |
| --- | --- | --- |
| 1 | devices, pipes, links, directories | `tests/test_files.py`, `tests/e2e/test_paths.py` |
| 2 | tried first; a write that fails later | `tests/e2e/test_report.py`, `test_full_disk.py` |
| 3 | streams that are full, closed, unread | `tests/cli/test_exit_status.py`, `tests/e2e/test_stopping.py` |
| 4, 5 | what waiting cannot fix; proxies and secrets | `tests/tenant/test_connection.py`, `test_route.py` |
| 6, 8 | no home directory; odd paths; few open files | `tests/cli/test_exit_status.py` |
| 7 | lists as they come from spreadsheets and pipes | `tests/source/test_oddities.py` |
| 9 to 12 | wrong IDs, advice, options, refused resumes | `tests/engine`, `tests/e2e/test_resuming.py` |
| 10 | rows of another account; one month twice | `tests/tenant/test_usages.py`, `test_paging.py` |
| 13 | schedules | `tests/config` |
| 14 | Ctrl-C, 80 columns | `tests/e2e/test_stopping.py`, `tests/report/test_closing.py`, `test_log.py` |

What an unlucky operator meets beyond these is in `tests/e2e/test_unlucky.py` and `test_unlucky_tenant.py`.
"""
