# What a record holds after its 24-byte header (schema/codec.h): one Record, in one segment, without
# a segment table.
#
# Evolution: fields and arms are only ever added, at the end, with the next number. A reader that
# meets an arm it does not know stops with "incompatible" (skipping an operation would make its
# state differ from everybody else's); a new field must therefore mean, when absent, exactly what
# old records meant.
#
# Names, keys and texts are Data, not Text: they may hold NUL, and lone surrogates, which are no
# UTF-8. Hot operations are laid out to be small; sizes are listed in
# docs/decisions/0020-one-arm-an-operation.md.
#
# SPDX-License-Identifier: MIT
@0xf3bf1aa3dbc2149c;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("oj::schema::wire");

struct Record {
  union {
    createStudy @0 :CreateStudy;
    deleteStudy @1 :DeleteStudy;
    setStudyUserAttr @2 :Attr;
    setStudySystemAttr @3 :Attr;
    createTrial @4 :CreateTrial;
    setTrialParam @5 :Param;
    setTrialStateValues @6 :SetTrialStateValues;
    setTrialIntermediateValue @7 :SetTrialIntermediateValue;
    setTrialUserAttr @8 :Attr;
    setTrialSystemAttr @9 :Attr;
    sessionStarted @10 :SessionStarted;
    sessionEnded @11 :SessionEnded;
    tombstone @12 :Tombstone;
    batch @13 :List(Record);  # two or more operations, atomic together; batches do not nest
    endOrphan @14 :EndOrphan;
  }
}

enum TrialState {  # Optuna's numbers
  running @0;
  complete @1;
  pruned @2;
  fail @3;
  waiting @4;
}

enum Direction {
  notSet @0;
  minimize @1;
  maximize @2;
}

struct Choice {  # of a categorical distribution
  union {
    null @0 :Void;
    boolean @1 :Bool;
    int64 @2 :Int64;
    float64 @3 :Float64;
    text @4 :Data;
    json @5 :Data;  # as json.dumps writes it: whatever the arms above cannot carry
  }
}

struct Attr {
  owner @0 :UInt64;  # the study or trial; unused inside a template
  key @1 :Data;
  union {            # as in Choice
    null @2 :Void;
    boolean @3 :Bool;
    int64 @4 :Int64;
    float64 @5 :Float64;
    text @6 :Data;
    json @7 :Data;
  }
}

struct Param {
  trial @0 :UInt64;  # unused inside a template
  internal @1 :Float64;
  name @2 :Data;
  log @3 :Bool;
  union {  # the distribution
    float :group {
      low @4 :Float64;
      high @5 :Float64;
      step @6 :Float64;
      hasStep @7 :Bool;
    }
    int :group {
      low @8 :Int64;
      high @9 :Int64;
      step @10 :Int64;
    }
    categorical @11 :List(Choice);
    json @12 :Data;  # Optuna's distribution_to_json text
  }
}

struct IntermediateValue {
  step @0 :Int64;
  value @1 :Float64;
}

struct CreateStudy {
  name @0 :Data;
  directions @1 :List(Direction);
}

struct DeleteStudy {
  study @0 :UInt64;
}

struct CreateTrial {
  study @0 :UInt64;
  startUs @1 :Int64;
  state @2 :TrialState;
  hasStart @3 :Bool;
  template @4 :Template;  # absent: everything in it is empty
}

struct Template {
  completeUs @0 :Int64;
  hasComplete @1 :Bool;
  values @2 :List(Float64);  # absent is not the same as empty
  params @3 :List(Param);
  userAttrs @4 :List(Attr);
  systemAttrs @5 :List(Attr);
  intermediateValues @6 :List(IntermediateValue);
}

struct SetTrialStateValues {
  trial @0 :UInt64;
  timeUs @1 :Int64;
  state @2 :TrialState;
  values @3 :List(Float64);  # absent is not the same as empty
}

struct SetTrialIntermediateValue {
  trial @0 :UInt64;
  step @1 :Int64;
  value @2 :Float64;
}

struct SessionStarted {
  pid @0 :UInt32;
  uid @1 :UInt32;
  host @2 :Data;
  command @3 :Data;
  user @4 :Data;
  container @5 :Data;  # empty: none that the process knows of
  cudaVisibleDevices @6 :Data;  # absent: not set, which is not the same as empty
  gpus @7 :List(Gpu);  # those that it may use, as far as NVML was there to be asked
  orphans @8 :OrphanPolicy;  # for its own trials; absent: the study's counts, or the service's
  former @9 :UInt64;  # the session that this one takes the place and the trials of; 0: none
  # What tells this process from all others, also after its region is gone; 0: not known.
  bootIdHigh @10 :UInt64;
  bootIdLow @11 :UInt64;
  pidNamespace @12 :UInt64;  # inode number of /proc/self/ns/pid
  startTicks @13 :UInt64;  # field 22 of /proc/self/stat
}

struct Gpu {
  uuid @0 :Data;
  name @1 :Data;
}

struct OrphanPolicy {  # what becomes of a RUNNING trial whose session died
  kind @0 :Kind;
  retriesMax @1 :UInt32;  # of retry
  enum Kind {
    unset @0;
    keep @1;
    fail @2;
    retry @3;
    optuna @4;  # left to Optuna's fail_stale_trials and its callback
  }
}

struct SessionEnded {
  session @0 :UInt64;
  reason @1 :Reason;
  enum Reason {
    closed @0;
    died @1;
  }
}

# Fails the trial, if it is still RUNNING and of that session, and the session has died. With
# retriesMax > 0 and fewer retries in its history, also creates a WAITING copy.
struct EndOrphan {
  trial @0 :UInt64;
  session @1 :UInt64;
  timeUs @2 :Int64;
  retriesMax @3 :UInt32;
}

struct Tombstone {
  reason @0 :Data;
}
