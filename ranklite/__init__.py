"""RankLite: from interaction logs to a small, fast, gated TFLite ranking model."""
