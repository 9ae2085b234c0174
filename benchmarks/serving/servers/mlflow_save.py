"""An ONNX file as an MLflow model of MLflow's own ONNX flavor: ``mlflow_save.py MODEL FOLDER``."""

import sys

import mlflow.onnx
import onnx

OPTIONS = {
    "intra_op_num_threads": 1,
    "inter_op_num_threads": 1,
    "execution_mode": "sequential",
    "extra_session_config": {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"},
}

if __name__ == "__main__":
    mlflow.onnx.save_model(
        onnx.load(sys.argv[1]),
        sys.argv[2],
        onnx_session_options=OPTIONS,
        onnx_execution_providers=["CPUExecutionProvider"],
        pip_requirements=["onnxruntime"],
    )
