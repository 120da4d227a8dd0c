# What optjournald and its clients say to each other over control.sock (schema/control.h): one
# Message a packet.
#
# SPDX-License-Identifier: MIT
@0xc0a079b1d94b4de1;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("oj::schema::wire::control");

struct Message {
  union {
    hello @0 :Hello;
    welcome @1 :Welcome;
    refusal @2 :Refusal;
    statusRequest @3 :StatusRequest;
    status @4 :Status;
    stopRequest @5 :StopRequest;
    stopping @6 :Stopping;
  }
}

struct Hello {
  version @0 :UInt32;
  slot @1 :UInt32;
  incarnation @2 :UInt64;
  session @3 :UInt64;
  monitor @4 :Bool;
  rejoin @5 :Bool;
  command @6 :Data;
  identity @7 :Identity;
}

struct Identity {  # what a worker says of itself; absent: nothing
  user @0 :Data;
  container @1 :Data;
  cudaVisibleDevices @2 :Data;  # absent: not set
  gpus @3 :List(Gpu);
}

struct Gpu {
  uuid @0 :Data;
  name @1 :Data;
}

struct Welcome {
  generation @0 :UInt64;
  incarnation @1 :UInt64;
  session @2 :UInt64;
  slot @3 :UInt32;
  daemonPid @4 :UInt32;
  regionFile @5 :Data;
}

struct Refusal {
  code @0 :UInt32;
  message @1 :Data;
}

struct StatusRequest {}
struct StopRequest {}
struct Stopping {}

struct WorkerStatus {
  slot @0 :UInt32;
  pid @1 :UInt32;
  uid @2 :UInt32;
  session @3 :UInt64;
  startedUs @4 :Int64;
  records @5 :UInt64;
  chunks @6 :UInt64;
  command @7 :Data;
  identity @8 :Identity;
}

struct Status {
  daemonPid @0 :UInt32;
  embedded @1 :Bool;
  startedUs @2 :Int64;
  generation @3 :UInt64;
  published @4 :UInt64;
  written @5 :UInt64;
  synced @6 :UInt64;
  retained @7 :UInt64;
  ringSlots @8 :UInt64;
  chunkBytes @9 :UInt64;
  chunkCount @10 :UInt64;
  chunksInUse @11 :UInt64;
  regionBytes @12 :UInt64;
  segments @13 :UInt64;
  diskBytes @14 :UInt64;
  syncs @15 :UInt64;
  syncNsLast @16 :UInt64;
  syncNsMax @17 :UInt64;
  daemonVersion @18 :Data;
  folder @19 :Data;
  degraded @20 :Data;
  workers @21 :List(WorkerStatus);
  syncNsTotal @22 :UInt64;
  syncNsBuckets @23 :List(UInt64);  # schema/latency_buckets.h; absent: not counted
}
