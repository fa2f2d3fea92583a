/** Counters of a launch that cannot be derived from how often each basic block ran. */
export class Tally {
  sharedWavefronts = 0;
  sharedConflicts = 0;
  ldmatrixConflicts = 0;
  globalSectorsRead = 0;
  globalSectorsWritten = 0;
  globalBytesWritten = 0;
  /** Lanes of guarded f32 arithmetic and guarded special functions. */
  guardedFma = 0;
  guardedSpecial = 0;
}
