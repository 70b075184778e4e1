// What each alarm means and what a person can do, in the words of docs/operations.md.
import type { AlarmName } from '../contracts/alarm-names.ts'

interface AlarmWords {
  meaning: string
  action: string
}

const WORDS: Record<AlarmName, AlarmWords> = {
  BackfillIncomplete: {
    meaning: 'The backfill stopped before its end.',
    action: 'Remove the cause, then run npm run backfill with the same dates again.',
  },
  CleanUpOverdue: {
    meaning: 'A kind of clean-up has not finished for a day.',
    action: 'Check whether the schedule session-cleanup is paused, and whether its workflow runs.',
  },
  DatabaseUnavailable: {
    meaning: 'A starting process cannot reach PostgreSQL, or a migration is missing.',
    action: 'Check PostgreSQL and DATABASE_URL. If the reason names a migration, run npm run migrate.',
  },
  DestinationRefused: {
    meaning: 'Redirects or DNS lead to an address that is not public, or redirects to plain http.',
    action: 'Check the DNS of the workers; report wrong redirects to Exotel. Recovery retries the recordings.',
  },
  DownloadsStalled: {
    meaning: 'All slots of a download queue are held by downloads without progress.',
    action: 'Check Exotel, the network and the disk of the worker. Each download ends by its own deadline.',
  },
  ErasedObjectsKept: {
    meaning: 'Objects of erased calls cannot be deleted.',
    action: 'Give the S3 key the right to delete objects. The next object check deletes them.',
  },
  ExotelAccountNotFound: {
    meaning: 'Exotel does not know the account, or the address is not that of its API.',
    action: 'Correct EXOTEL_API_BASE_URL or EXOTEL_ACCOUNT_SID, then restart the workers.',
  },
  ExotelCredentialsRefused: {
    meaning: 'Exotel refuses our API key.',
    action: 'Correct EXOTEL_ACCOUNT_SID, EXOTEL_API_KEY and EXOTEL_API_TOKEN, then restart the workers.',
  },
  ForeignObject: {
    meaning: 'Another writer stored objects under our keys.',
    action: 'Find the writer: another installation, or a restored backup? The recordings are stored under other keys.',
  },
  ObjectsMissing: {
    meaning: 'Many objects are not in the bucket. No row was changed.',
    action: 'Check whether the bucket was emptied, and whether WASABI_BUCKET and WASABI_ENDPOINT are right. Restore the objects.',
  },
  OutcomeRejected: {
    meaning: 'PostgreSQL refuses to store the outcome of a recording.',
    action: 'Find the log line "Recording outcome cannot be written", and correct the schema or the row.',
  },
  ReconciliationIncomplete: {
    meaning: "A pass over Exotel's list of calls may have a gap.",
    action: 'Nothing, if the next pass is complete: it starts where the last complete one ended.',
  },
  RecordingHostNotAllowed: {
    meaning: 'Links lead to a host that the settings do not list.',
    action: 'If the host is that of Exotel, add it to EXOTEL_RECORDING_HOSTS or EXOTEL_PUBLIC_RECORDING_HOSTS, then restart the workers.',
  },
  SchedulesMissing: {
    meaning: 'Temporal refuses to create or update our schedules.',
    action: 'Give the credentials the right to manage schedules.',
  },
  SpoolUnavailable: {
    meaning: 'A worker cannot write to its disk.',
    action: 'Check the disk of SPOOL_DIRECTORY. Do not delete files: they may be the only copy.',
  },
  StorageMisconfigured: {
    meaning: 'S3 refuses our requests: bucket, keys, region, clock, or a missing right.',
    action: 'Correct the settings or the rights of the key, then restart the workers.',
  },
  StorageUnavailable: {
    meaning: 'S3 is unavailable. Recordings wait, and none fails.',
    action: 'Check the status of the S3 provider and the network.',
  },
  TemporalUnavailable: {
    meaning: 'A starting worker cannot reach Temporal.',
    action: 'Check Temporal, TEMPORAL_ADDRESS and the credentials. If it was never set up, run npm run temporal:setup.',
  },
  UploadRefused: {
    meaning: 'S3 refuses one object and accepts others.',
    action: 'Check the bucket policy and object locks.',
  },
  WorkflowsStuck: {
    meaning: 'Open runs fail their workflow tasks.',
    action: 'The last deployment is the likely cause: roll it back.',
  },
}

/** @param name may be that of an alarm of another version */
export function alarmWords(name: string): AlarmWords {
  return Object.hasOwn(WORDS, name)
    ? WORDS[name as AlarmName]
    : { meaning: 'Another version of the code reports this alarm.', action: 'See docs/operations.md of that version.' }
}
