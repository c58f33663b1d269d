"""The lines of C++ in the README.txt beside a model file."""

from ..predict.model_formats import ONNX, OPENVINO, TORCHSCRIPT, ModelFormat

_IMAGE = """cv::Mat image = cv::imread("image.jpg");
cv::cvtColor(image, image, cv::COLOR_BGR2RGB);"""
# One below the other in memory, as a batch is.
_IMAGES = """cv::Mat images;
cv::vconcat(std::vector<cv::Mat>({batch}, image), images);"""
_RUN = {
    ONNX: (
        "<onnxruntime_cxx_api.h>",
        """Ort::Env env;
Ort::Session session(env, ORT_TSTR("{file}"), Ort::SessionOptions());
std::vector<int64_t> shape{{{batch}, image.rows, image.cols, 3}};
auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
auto input = Ort::Value::CreateTensor<uint8_t>(memory, {pixels}.data, {pixels}.total() * 3, shape.data(), shape.size());
const char *inputs[] = {{"image"}}, *names[] = {{{names}}};
auto outputs = session.Run(Ort::RunOptions(), inputs, &input, 1, names, {number});
const {type}* first = outputs[0].GetTensorData<{type}>();""",
    ),
    OPENVINO: (
        "<openvino/openvino.hpp>",
        """ov::Core core;
auto model = core.compile_model("{file}", "CPU", ov::hint::inference_precision(ov::element::f32));
auto request = model.create_infer_request();
ov::Shape shape{{{batch}, size_t(image.rows), size_t(image.cols), 3}};
request.set_input_tensor(ov::Tensor(ov::element::u8, shape, {pixels}.data));
request.infer();
const {type}* first = request.get_tensor("{first}").data<{type}>();""",
    ),
    TORCHSCRIPT: (
        "<torch/script.h>",
        """torch::NoGradGuard no_grad;
torch::jit::Module model = torch::jit::load("{file}");
auto input = torch::from_blob({pixels}.data, {{{batch}, image.rows, image.cols, 3}}, torch::kUInt8);
auto outputs = model.forward({{input}}).toTuple();
torch::Tensor first = outputs->elements()[0].toTensor();""",
    ),
}
_OPERATORS = """

NMS, ROIAlign and deformable convolutions are operators of torchvision: a program that runs a model with any of them
has to be linked with torchvision's C++ library too (-Wl,--no-as-needed -ltorchvision, for none is called by name)."""
_NONE = "C++ runs no program of torch.export as it is; export to onnx, openvino or torchscript for it."


def cpp(model_format: ModelFormat, file: str, batch: int, names: tuple[str, ...]) -> str:
    """What C++ runs the model file of that name by, with ``batch`` images at a time; ``names`` are of its outputs."""
    if model_format not in _RUN:
        return _NONE
    header, run = _RUN[model_format]
    lines = [_IMAGE, *([_IMAGES.format(batch=batch)] if batch > 1 else [])]
    quoted = ", ".join(f'"{name}"' for name in names)
    lines.append(
        run.format(
            file=file,
            batch=batch,
            pixels="images" if batch > 1 else "image",
            names=quoted,
            number=len(names),
            first=names[0],
            type="uint8_t" if names[0] == "sem_seg" else "float",
        )
    )
    code = "\n".join(f"    {line}" for line in "\n".join(lines).splitlines())
    operators = _OPERATORS if model_format == TORCHSCRIPT else ""
    return f"C++ (#include {header}, <opencv2/imgcodecs.hpp>, <opencv2/imgproc.hpp>)\n\n{code}{operators}"
